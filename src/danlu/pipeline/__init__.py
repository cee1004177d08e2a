"""From a recipe to a finished run: the recipe, the run folder, the stages and their order, and how a run resumes."""
