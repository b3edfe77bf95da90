# SPDX-License-Identifier: Apache-2.0
"""The servers that a user might run instead of ours: how each is installed, started and stopped."""

from peers.centrifugo import Centrifugo
from peers.ejabberd import Ejabberd, EjabberdWithoutArchive
from peers.tinode import Tinode

ALL = (Centrifugo, Tinode, Ejabberd, EjabberdWithoutArchive)
