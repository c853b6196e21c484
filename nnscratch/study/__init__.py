"""A study: many trainings, planned, run on several processes, kept, and compared."""
