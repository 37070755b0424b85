"""The functions behind the tools, to be imported from their modules, such as ``mmpose_mspn.apis.inference``."""
