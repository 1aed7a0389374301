# SPDX-License-Identifier: GPL-2.0-only
"""Hosts as an Ansible inventory has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.errors import BadInput
from lab.fleet.inventory import FleetHost, as_record, from_record, hosts_of, read_inventory


def told(**hosts: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"_meta": {"hostvars": hosts}, "all": {"hosts": list(hosts)}}


def test_an_ini_file_is_read_by_ansible_itself(tmp_path: Path) -> None:
    path = tmp_path / "hosts.ini"
    path.write_text(
        "[fast]\none ansible_host=192.0.2.1 ansible_port=2222 ansible_user=lab lab_pairs=3\n"
        "[slow]\ntwo ansible_connection=local\n[all:vars]\nlab_command=/opt/lab/.venv/bin/lab\n"
    )
    one, two = read_inventory(path)
    assert (one.name, one.pairs) == ("one", 3)
    assert one.argv[0] == "ssh"
    assert one.argv[-3:] == ("--", "192.0.2.1", "/opt/lab/.venv/bin/lab batch --serve")
    assert one.argv[one.argv.index("-p") + 1] == "2222"
    assert one.argv[one.argv.index("-l") + 1] == "lab"
    assert {"StrictHostKeyChecking=yes", "ForwardAgent=no", "BatchMode=yes"} <= set(one.argv)
    assert two.argv[0] != "ssh"
    assert from_record(as_record((one, two))) == (one, two)


def test_a_list_that_cannot_be_read_or_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("all: [}")
    for name in ("bad.yml", "nosuch"):
        with pytest.raises(BadInput, match=name):
            read_inventory(tmp_path / name)


def test_all_that_is_wrong_with_a_list_is_told_at_once() -> None:
    hosts = told(
        **{
            "good": {},
            "-oProxyCommand=x": {},
            "a": {"ansible_host": "-oProxyCommand=x"},
            "b": {"lab_pairs": "many"},
            "c": {"ansible_connection": "docker"},
            "d": {"lab_pairs": 9999},
        }
    )
    with pytest.raises(BadInput) as wrong:
        hosts_of(hosts, "hosts.ini")
    assert len(wrong.value.problems) == 5
    with pytest.raises(BadInput, match="lists no host"):
        hosts_of(told(), "hosts.ini")


def test_a_host_without_variables_is_reached_by_its_name() -> None:
    (host,) = hosts_of({"all": {"hosts": ["one"]}, "_meta": {"hostvars": {}}}, "x")
    assert isinstance(host, FleetHost)
    assert host.argv[-2:] == ("one", "/opt/lab/current/.venv/bin/lab batch --serve")
