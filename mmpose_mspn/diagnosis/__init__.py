"""Why a model's figure is what it is: errors by kind, groups, stages, cases, and the page that shows them."""
