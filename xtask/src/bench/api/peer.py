"""What the farm's API is measured beside: the list of builds as Copr's own frontend would serve it, with Flask, SQLAlchemy and
gunicorn, from the farm's database. DATABASE is its path, PUBLIC_URL the beginning of the addresses in the answers."""

import os

from flask import Flask, abort, jsonify, request
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    joinedload,
    mapped_column,
    relationship,
    scoped_session,
    selectinload,
    sessionmaker,
)

PUBLIC_URL = os.environ["PUBLIC_URL"]
MICROSECONDS = 1_000_000

app = Flask(__name__)
engine = create_engine(f"sqlite:///file:{os.environ['DATABASE']}?mode=ro&uri=true")
session = scoped_session(sessionmaker(engine))


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Project(Base):
    __tablename__ = "project"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    deleted_at: Mapped[int | None]


class Package(Base):
    __tablename__ = "package"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Build(Base):
    __tablename__ = "build"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column("project", ForeignKey("project.id"))
    directory: Mapped[str]
    package_id: Mapped[int | None] = mapped_column("package", ForeignKey("package.id"))
    version: Mapped[str | None]
    submitter_id: Mapped[int | None] = mapped_column("submitter", ForeignKey("account.id"))
    source_file: Mapped[str]
    is_background: Mapped[bool]
    state: Mapped[str]
    submitted_at: Mapped[int]
    project: Mapped[Project] = relationship()
    package: Mapped[Package | None] = relationship()
    submitter: Mapped[Account | None] = relationship()
    chroots: Mapped[list["BuildChroot"]] = relationship(order_by="BuildChroot.chroot")


class BuildChroot(Base):
    __tablename__ = "build_chroot"
    build_id: Mapped[int] = mapped_column("build", ForeignKey("build.id"), primary_key=True)
    chroot: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    started_at: Mapped[int | None]
    ended_at: Mapped[int | None]


FINAL = {"succeeded", "failed", "canceled", "skipped", "forked"}


def seconds(moments):
    return [moment // MICROSECONDS for moment in moments if moment is not None]


def shown(build):
    project = build.project
    results = f"{PUBLIC_URL}/results/{project.owner}"
    source = f"{results}/{build.directory}/srpm-builds/{build.id:08}/{build.source_file}"
    is_over = all(chroot.state in FINAL for chroot in build.chroots)
    return {
        "chroots": [chroot.chroot for chroot in build.chroots],
        "ended_on": max(seconds(chroot.ended_at for chroot in build.chroots), default=None) if is_over else None,
        "id": build.id,
        "is_background": build.is_background,
        "ownername": project.owner,
        "project_dirname": build.directory,
        "projectname": project.name,
        "repo_url": f"{results}/{project.name}",
        "source_package": {
            "name": build.package.name if build.package else None,
            "url": source,
            "version": build.version,
        },
        "started_on": min(seconds(chroot.started_at for chroot in build.chroots), default=None),
        "state": build.state,
        "submitted_on": build.submitted_at // MICROSECONDS,
        "submitter": build.submitter.name if build.submitter else None,
    }


@app.get("/api_3/build/list")
def list_builds():
    owner, name = request.args["ownername"], request.args["projectname"]
    limit, offset = request.args.get("limit", type=int), request.args.get("offset", 0, type=int)
    project = session.scalar(
        select(Project).where(Project.owner == owner, Project.name == name, Project.deleted_at.is_(None))
    )
    if project is None:
        abort(404)
    builds = session.scalars(
        select(Build)
        .where(Build.project_id == project.id)
        .order_by(Build.id.desc())
        .limit(limit)
        .offset(offset)
        .options(
            joinedload(Build.project),
            joinedload(Build.package),
            joinedload(Build.submitter),
            selectinload(Build.chroots),
        )
    )
    meta = {"limit": limit, "offset": offset, "order": "id", "order_type": "DESC"}
    return jsonify(items=[shown(build) for build in builds], meta=meta)


@app.teardown_appcontext
def end_session(_error):
    session.remove()
