"""Every state a crash can leave behind, on a simulated disk; a package, so that siblings share `crash.sim_disk`."""
