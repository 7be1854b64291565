"""Long work started from the portal: in a process of its own, with its progress in the portal's database."""
