"""`medseg project claim, release, who`: who works on which case, from the command line."""

import pytest


def test_a_case_is_claimed_listed_and_released(medseg, study):
    assert medseg("project", "init", "liver", "--class", "Liver", "--json").answer["shared"] is False
    medseg("project", "add", "liver", study.image, "--user", "Ann")
    claim = medseg("project", "claim", "liver", "case-0001", "--hours", "2", "--user", "Ann", "--json").answer["claim"]
    assert (claim["case"], claim["author"], claim["mine"]) == ("case-0001", "Ann", True)
    assert [one["mine"] for one in medseg("project", "who", "liver", "--user", "Bob", "--json").answer["claims"]] == [False]
    refused = medseg("project", "release", "liver", "case-0001", "--user", "Bob", "--json")
    assert (refused.code, refused.answer["error"]["type"]) == (1, "CaseClaimedError")
    assert "claimed by Ann" in medseg("project", "list", "liver").out
    assert medseg("project", "release", "liver", "case-0001", "--user", "Ann", "--json").answer == {"case": "case-0001", "released": True}
    assert medseg("project", "who", "liver", "--json").answer == {"claims": []}


@pytest.mark.parametrize("url", ["postgresql://ann:secret@db/studies", "mysql://db/studies"])
def test_an_address_with_a_password_or_of_another_kind_is_refused(medseg, url):
    done = medseg("project", "init", "liver", "--database", url, "--json")
    assert (done.code, done.answer["error"]["type"]) == (1, "InvalidInputError")
    assert "secret" not in done.out + done.err
