"""The page of the article's rows: what it names is there."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner

import article
from mammo_mlops.cli import main

TESTS = Path(__file__).parent
COMMANDS = [command for section in article.SECTIONS for command in section.commands if command.startswith("mammo-mlops ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_takes_a_steps_place_is_one_that_is_here(command):
    assert CliRunner().invoke(main, [*command.split()[1:], "--help"]).exit_code == 0


def test_every_test_that_shows_a_part_is_there():
    named = {article.node_id(name) for part in article.PARTS for name in part.shown_by}
    missing = [node for node in named if f"def {node.partition('::')[2]}(" not in (TESTS.parent / node.partition("::")[0]).read_text()]
    assert missing == []


def test_a_part_fails_with_one_of_its_tests_and_is_not_run_without_them(tmp_path):
    part = next(part for part in article.PARTS if len(part.shown_by) == 1)
    name = article.node_id(part.shown_by[0])
    suite = ElementTree.Element("testsuite")
    case = ElementTree.SubElement(suite, "testcase", classname=name.partition(".py")[0].replace("/", "."), name=name.partition("::")[2], time="1.5")
    ElementTree.ElementTree(suite).write(tmp_path / "tests.xml")
    assert article.result_of(part, article.read_outcomes(tmp_path / "tests.xml")) == "works"
    ElementTree.SubElement(case, "failure")
    ElementTree.ElementTree(suite).write(tmp_path / "tests.xml")
    assert article.result_of(part, article.read_outcomes(tmp_path / "tests.xml")) == "fails"
    assert article.result_of(part, {}) == "not run"
    assert not article.write_article(tmp_path / "tests.xml", tmp_path / "article.html")
