"""What every figure is drawn with."""
