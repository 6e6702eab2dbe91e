//! Reading projects.

use model::InvalidName;
use poem_openapi::{OpenApi, param::Query};
use store::ProjectFilter;

use super::Chapter;
use crate::{
    http::{
        error::{Answer, ApiError},
        paging::{Items, Paging, Sorting, Wanted},
        parameters::{Count, Direction, Of, OrderBy},
        written::Written,
    },
    lookup::find_project,
    state::ApiState,
    view::ProjectView,
};

/// Copr's shortest text to search for.
pub(crate) const SHORTEST_QUERY: usize = 3;

pub(crate) struct ProjectApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Project")]
impl ProjectApi {
    /// Shows a project, with its settings and the addresses of its repositories.
    #[oai(path = "/api_3/project", method = "get", operation_id = "get_project")]
    async fn get(
        &self,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Query<String>,
        /// The name of the project, such as `demo`.
        projectname: Query<String>,
    ) -> Answer<Written<ProjectView>> {
        let project = find_project(&self.0, &ownername, &projectname).await?;
        Ok(Written(ProjectView::new(&project, self.0.settings())))
    }

    /// Lists the projects of the farm, or of one owner.
    #[oai(path = "/api_3/project/list", method = "get", operation_id = "list_projects")]
    async fn list(
        &self,
        /// List only the projects of this owner; those of all owners unless given.
        ownername: Query<Option<String>>,
        /// The most items in the answer. Larger numbers count as 10000. Without a limit the answer is the whole list; a list of
        /// more than 10000 items is then refused with status 413.
        limit: Query<Option<Of<Count>>>,
        /// How many items to leave out at the start of the list; none unless given.
        offset: Query<Option<Of<Count>>>,
        /// The field to sort by: `id`, the order in which things were made, unless given.
        order: Query<Option<Of<OrderBy>>>,
        /// The direction to sort in: `ASC` unless given.
        order_type: Query<Option<Of<Direction>>>,
    ) -> Answer<Written<Items<ProjectView>>> {
        let sorting = Sorting::read(order.0, order_type.0);
        let paging = Paging::new(
            Wanted {
                limit: limit.0,
                offset: offset.0,
            },
            sorting,
        );
        let owner = match ownername.0.as_deref() {
            None => None,
            Some(name) => Some(
                name.parse()
                    .map_err(|error: InvalidName| ApiError::Invalid(format!("ownername: {error}.")))?,
            ),
        };
        let filter = ProjectFilter {
            owner,
            text: None,
            order: sorting.order(),
        };
        self.listed(filter, paging).await
    }

    /// Finds the projects with a text in their owner's name, their name or their description.
    #[oai(
        path = "/api_3/project/search",
        method = "get",
        operation_id = "search_projects"
    )]
    async fn search(
        &self,
        /// The text to look for, at least three characters; upper and lower case are the same.
        query: Query<String>,
        /// The most items in the answer. Larger numbers count as 10000. Without a limit the answer is the whole list; a list of
        /// more than 10000 items is then refused with status 413.
        limit: Query<Option<Of<Count>>>,
        /// How many items to leave out at the start of the list; none unless given.
        offset: Query<Option<Of<Count>>>,
        /// The field to sort by: `id`, the order in which things were made, unless given.
        order: Query<Option<Of<OrderBy>>>,
        /// The direction to sort in: `ASC` unless given.
        order_type: Query<Option<Of<Direction>>>,
    ) -> Answer<Written<Items<ProjectView>>> {
        let sorting = Sorting::read(order.0, order_type.0);
        let paging = Paging::new(
            Wanted {
                limit: limit.0,
                offset: offset.0,
            },
            sorting,
        );
        if query.chars().count() < SHORTEST_QUERY {
            return Err(ApiError::Invalid(format!(
                "The search query must be at least {SHORTEST_QUERY} characters long."
            )));
        }
        let filter = ProjectFilter {
            owner: None,
            text: Some(query.0),
            order: sorting.order(),
        };
        self.listed(filter, paging).await
    }
}

impl ProjectApi {
    async fn listed(&self, filter: ProjectFilter, paging: Paging) -> Answer<Written<Items<ProjectView>>> {
        let store = self.0.store();
        let projects = paging
            .collect("projects", |page| store.projects(&filter, page))
            .await?;
        let items = projects
            .iter()
            .map(|project| ProjectView::new(project, self.0.settings()))
            .collect();
        Ok(Written(Items { items, meta: paging }))
    }
}
