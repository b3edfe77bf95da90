# SPDX-License-Identifier: Apache-2.0
"""What every benchmark of this folder is run with: servers, loads, results, the machine. Standard library only."""
