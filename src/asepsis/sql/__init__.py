"""From SQL text to a typed plan that carries the privacy unit, and from the plan to generated SQL.

Invariant: what runs is generated from the plan. The author's text reaches an engine as bound values at most.
"""

from asepsis.sql.planner import Planned, PlannedCohort, plan_cohort, plan_query

__all__ = ["Planned", "PlannedCohort", "plan_cohort", "plan_query"]
