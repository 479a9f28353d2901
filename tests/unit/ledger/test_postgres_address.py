"""What the driver is told about a database."""

from __future__ import annotations

from sqlalchemy.engine import make_url

from cronledger.ledger.postgres_pool import arguments


def told(url: str) -> dict[str, object]:
    return arguments(make_url(url).set(drivername="postgresql+psycopg"), "here.1.aa")


def test_everything_that_could_wait_for_ever_has_a_limit() -> None:
    limits = (
        "connect_timeout",
        "tcp_user_timeout",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
    )

    assert (5, 5000, 5, 2, 3) == tuple(told("postgresql://ann@db/jobs")[name] for name in limits)


def test_statements_are_never_prepared_because_a_pooler_may_be_in_between() -> None:
    assert None is told("postgresql://ann@db/jobs")["prepare_threshold"]


def test_of_one_host_any_server_will_do() -> None:
    assert "target_session_attrs" not in told("postgresql://ann@db/jobs")


def test_of_several_hosts_the_primary_is_meant() -> None:
    found = told("postgresql://ann@/jobs?host=a:5432&host=b:5433")

    assert ("a,b", "5432,5433", "read-write") == (found["host"], found["port"], found["target_session_attrs"])


def test_what_the_address_says_wins() -> None:
    found = told("postgresql://ann@/jobs?host=a&host=b&target_session_attrs=any&connect_timeout=9")

    assert ("any", "9") == (found["target_session_attrs"], found["connect_timeout"])


def test_an_application_name_keeps_the_prefix_by_which_instances_know_each_other() -> None:
    assert "cronledger here.1.aa" == told("postgresql://ann@db/jobs")["application_name"]
    assert "cronledger shop" == told("postgresql://ann@db/jobs?application_name=shop")["application_name"]
