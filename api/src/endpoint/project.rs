//! Reading projects.

use poem_openapi::{OpenApi, param::Query, payload::Json};
use store::ProjectFilter;

use super::Chapter;
use crate::{
    http::{
        error::{Answer, ApiError},
        paging::{Items, Paging},
    },
    lookup::find_project,
    state::ApiState,
    view::ProjectView,
};

/// Copr's shortest text to search for.
const SHORTEST_QUERY: usize = 3;

pub(crate) struct ProjectApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Project")]
impl ProjectApi {
    /// Shows a project.
    #[oai(path = "/api_3/project", method = "get", operation_id = "get_project")]
    async fn get(
        &self,
        /// Whose project.
        ownername: Query<String>,
        /// Which project.
        projectname: Query<String>,
    ) -> Answer<Json<ProjectView>> {
        let project = find_project(&self.0, &ownername, &projectname).await?;
        Ok(Json(ProjectView::new(&project, self.0.settings())))
    }

    /// Lists projects, oldest first.
    #[oai(path = "/api_3/project/list", method = "get", operation_id = "list_projects")]
    async fn list(
        &self,
        /// Only those of this owner.
        ownername: Query<Option<String>>,
        /// At most so many.
        limit: Query<Option<i64>>,
        /// Leaving out so many.
        offset: Query<Option<i64>>,
        /// `id` or `name`.
        order: Query<Option<String>>,
        /// `ASC` or `DESC`.
        order_type: Query<Option<String>>,
    ) -> Answer<Json<Items<ProjectView>>> {
        let paging = Paging::read(limit.0, offset.0, order.0, order_type.0)?;
        let owner = match ownername.0.as_deref() {
            None => None,
            Some(name) => match name.parse() {
                Ok(owner) => Some(owner),
                // A name that cannot be a name owns nothing.
                Err(_) => {
                    return Ok(Json(Items {
                        items: Vec::new(),
                        meta: paging,
                    }));
                }
            },
        };
        let filter = ProjectFilter { owner, text: None };
        self.listed(filter, paging).await
    }

    /// Searches projects by a text in owner, name or description.
    #[oai(
        path = "/api_3/project/search",
        method = "get",
        operation_id = "search_projects"
    )]
    async fn search(
        &self,
        /// At least three characters.
        query: Query<String>,
        /// At most so many.
        limit: Query<Option<i64>>,
        /// Leaving out so many.
        offset: Query<Option<i64>>,
        /// `id` or `name`.
        order: Query<Option<String>>,
        /// `ASC` or `DESC`.
        order_type: Query<Option<String>>,
    ) -> Answer<Json<Items<ProjectView>>> {
        let paging = Paging::read(limit.0, offset.0, order.0, order_type.0)?;
        if query.chars().count() < SHORTEST_QUERY {
            return Err(ApiError::Invalid(format!(
                "The search query must be at least {SHORTEST_QUERY} characters long."
            )));
        }
        let filter = ProjectFilter {
            owner: None,
            text: Some(query.0),
        };
        self.listed(filter, paging).await
    }
}

impl ProjectApi {
    async fn listed(&self, filter: ProjectFilter, paging: Paging) -> Answer<Json<Items<ProjectView>>> {
        let projects = paging.projects(self.0.store(), &filter).await?;
        let items = projects
            .iter()
            .map(|project| ProjectView::new(project, self.0.settings()))
            .collect();
        Ok(Json(Items { items, meta: paging }))
    }
}
