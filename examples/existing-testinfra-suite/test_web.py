import pytest

testinfra_packages = ["nginx", "openssl"]


@pytest.fixture
def nginx(host):
    return host.service("nginx")


@pytest.mark.parametrize("name", testinfra_packages)
def test_package_is_installed(host, name):
    assert host.package(name).is_installed


def test_nginx_is_recent(host):
    assert host.package("nginx").version.startswith("1.")


def test_nginx_runs(nginx):
    assert nginx.is_running
    assert nginx.is_enabled


@pytest.mark.parametrize("port", [80, 443])
def test_nginx_listens(host, port):
    assert host.socket(f"tcp://0.0.0.0:{port}").is_listening


def test_web_root(host):
    root = host.file("/var/www/html")
    assert root.is_directory
    assert root.user == "root"
    assert not root.mode & 0o022


def test_index_page(host):
    assert host.file("/var/www/html/index.html").contains("Welcome")


def test_web_user_cannot_log_in(host):
    user = host.user("www-data")
    assert user.shell == "/usr/sbin/nologin"
    assert "www-data" in user.groups


def test_configuration_is_valid_for_the_kernel(host):
    assert host.sysctl("net.ipv4.ip_forward") == 0
    assert host.sysctl("net.core.somaxconn") >= 4096


def test_distribution(host):
    assert host.system_info.type == "linux"
    assert host.system_info.distribution == "debian"
