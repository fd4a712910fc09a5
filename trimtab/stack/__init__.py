"""What `trimtab up` runs, as a value: which programs, with which arguments and files, in which order."""
