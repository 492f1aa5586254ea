"""The review pages: everything that a reviewer sees, and nothing that decides."""
