"""The pipeline: parameters, where stages keep their files, and the memo that makes them incremental."""
