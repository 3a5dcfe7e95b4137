"""The values everything speaks in: frozen, without I/O."""
