"""Functions that backbones and heads share."""
