"""What backbones and heads share."""
