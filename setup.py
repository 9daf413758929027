"""Packaging: everything that can change lives in settings.ini."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

settings = ConfigParser(delimiters=["="])
settings.read(Path(__file__).with_name("settings.ini"), encoding="utf-8")
config = settings["DEFAULT"]

setup(
    name=config["lib_name"],
    version=config["version"],
    description=config["description"],
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=config["author"],
    author_email=config["author_email"],
    url=config["git_url"],
    license="Apache-2.0",
    packages=find_packages(include=["mammo_mlops", "mammo_mlops.*"]),
    package_data={"mammo_mlops": ["datasets/*"]},
    python_requires=">=" + config["min_python"],
    install_requires=config["requirements"].split(),
    extras_require={"dev": config["dev_requirements"].split()},
    entry_points={
        "console_scripts": config["console_scripts"].split(),
        "nbdev": ["mammo_mlops=mammo_mlops._modidx:d"],
    },
)
