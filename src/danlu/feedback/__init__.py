"""What people say about texts: demonstrations and rankings, their store, how far they agree, and their formats."""
