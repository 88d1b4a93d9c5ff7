"""The HTML report: one file that needs nothing else, written from the data of the JSON report."""
