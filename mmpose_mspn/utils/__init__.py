"""What several rooms need and none owns: files, numbers, codes of visibility."""
