"""What several tests make: files, learners, flows, launches."""
