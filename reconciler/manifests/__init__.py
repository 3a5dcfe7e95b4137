"""Manifests and configuration: YAML, JSON Schema and id files in, `Desired` and `Config` out.

Bad input never raises here. Everything that is wrong with all files is a diagnostic, in one go.
Importing this costs little: the YAML parser and the schema checker are imported when a file is read.
"""

from reconciler.manifests.config import Config, load_config
from reconciler.manifests.loader import load, read_ahead
from reconciler.manifests.positions import locate

__all__ = ["Config", "load", "load_config", "locate", "read_ahead"]
