"""Document 003, "Project Structure": an extension as a package."""
