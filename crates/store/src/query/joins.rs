//! How tables hang together, for queries that join them.

use sea_orm::{EntityTrait as _, RelationDef};

use crate::entity::{
    account, allocation, attempt, build, build_chroot, chroot, collected_package, package, project,
    project_chroot, repository,
};

pub(super) fn attempt_to_build() -> RelationDef {
    attempt::Entity::belongs_to(build::Entity)
        .from(attempt::Column::Build)
        .to(build::Column::Id)
        .into()
}

pub(super) fn attempt_to_build_chroot() -> RelationDef {
    attempt::Entity::belongs_to(build_chroot::Entity)
        .from((attempt::Column::Build, attempt::Column::Chroot))
        .to((build_chroot::Column::Build, build_chroot::Column::Chroot))
        .into()
}

pub(super) fn allocation_to_attempt() -> RelationDef {
    allocation::Entity::belongs_to(attempt::Entity)
        .from(allocation::Column::Attempt)
        .to(attempt::Column::Id)
        .into()
}

pub(super) fn build_to_project() -> RelationDef {
    build::Entity::belongs_to(project::Entity)
        .from(build::Column::Project)
        .to(project::Column::Id)
        .into()
}

pub(super) fn build_to_package() -> RelationDef {
    build::Entity::belongs_to(package::Entity)
        .from(build::Column::Package)
        .to(package::Column::Id)
        .into()
}

pub(super) fn build_to_submitter() -> RelationDef {
    build::Entity::belongs_to(account::Entity)
        .from(build::Column::Submitter)
        .to(account::Column::Id)
        .into()
}

pub(super) fn project_chroot_to_chroot() -> RelationDef {
    project_chroot::Entity::belongs_to(chroot::Entity)
        .from(project_chroot::Column::Chroot)
        .to(chroot::Column::Name)
        .into()
}

pub(super) fn package_to_attempt() -> RelationDef {
    collected_package::Entity::belongs_to(attempt::Entity)
        .from(collected_package::Column::Attempt)
        .to(attempt::Column::Id)
        .into()
}

pub(super) fn repository_to_project() -> RelationDef {
    repository::Entity::belongs_to(project::Entity)
        .from(repository::Column::Project)
        .to(project::Column::Id)
        .into()
}
