"""The one room that executes what is inspected: everything here runs in a locked child process."""
