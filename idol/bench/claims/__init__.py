"""The paper's claims as experiments: rows of its tables trained alike, and compared in pairs."""
