"""What every room uses: errors for people, durable files, durations with units, strict configuration."""
