"""What a strategy file may import: base classes, indicators, the loader, the honesty check."""
