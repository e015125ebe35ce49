def test_sshd_config_belongs_to_root(host):
    config = host.file("/etc/ssh/sshd_config")
    assert config.exists
    assert config.is_file
    assert config.user == "root"
    assert config.group == "root"
    assert config.mode == 0o644


def test_sshd_runs(host):
    sshd = host.service("ssh")
    assert sshd.is_running
    assert sshd.is_enabled


def test_sshd_listens(host):
    assert host.socket("tcp://0.0.0.0:22").is_listening


def test_root_is_the_only_superuser(host):
    root = host.user("root")
    assert root.uid == 0
    assert root.home == "/root"
    assert root.shell == "/bin/bash"
    assert host.check_output("getent passwd 0") == "root:x:0:0:root:/root:/bin/bash"
