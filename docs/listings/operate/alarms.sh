grep -E '"level": "(error|critical)"|"problem": "(log-full|too-many-files|certificate-time|no-token-set|weak-token)"' server.log
