chmod 640 /etc/audit/rules.d/*
sed -i -E \
  -e 's/^max_log_file_action.*/max_log_file_action = keep_logs/' \
  -e 's/^(admin_)?space_left_action.*/\1space_left_action = single/' \
  -e 's/^disk_(full|error)_action.*/disk_\1_action = single/' \
  /etc/audit/auditd.conf
