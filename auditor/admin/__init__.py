"""What the portal shows of every model; `auditor.admin_config.register_lists` registers all of it."""
