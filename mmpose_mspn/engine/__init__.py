"""What training needs beyond mmengine."""
