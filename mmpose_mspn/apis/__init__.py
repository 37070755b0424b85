"""What the tools do, as functions; import the module that is meant, such as ``mmpose_mspn.apis.inference``."""
