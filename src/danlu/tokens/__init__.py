"""From documents to tokens: the vocabulary, the shards on the disk, and the sequences that training sees."""
