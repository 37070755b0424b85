"""What several folders need and none owns: files, numbers, codes of visibility, memory."""
