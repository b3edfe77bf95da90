# SPDX-License-Identifier: Apache-2.0
"""One file for each family of scenarios; each has SCENARIOS: name → function(bench)."""
