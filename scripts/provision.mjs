// Installs the server packages that the tests need and the machine lacks. Filled by the backends' issues.
