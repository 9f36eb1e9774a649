"""What a person types and reads: lines, bars, tables, times left, paths."""
