"""Users, their roles and their API tokens: the one part of the portal where something is changed, by administrators."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from knox.models import AuthToken
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from auditor.admin.base import refuse_null_bytes
from auditor.models import AccessLogEntry, Finding, FindingChange, Job
from auditor.permissions import may_manage_users

for model in (User, Group, AuthToken):
    admin.site.unregister(model)


class AdministratorsOnly(ModelAdmin):
    """Open to the administrator's role, whatever Django's own permissions say."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        texts = [text for query in (request.GET, request.POST) for _, values in query.lists() for text in values]
        refuse_null_bytes(*request.GET.keys(), *texts)
        for text in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.to_python(text)
            except ValidationError as error:
                raise SuspiciousOperation("what is selected is named by its id") from error
        return super().changelist_view(request, extra_context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        refuse_null_bytes(object_id)
        return super().change_view(request, object_id, form_url, extra_context)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_manage_users(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_manage_users(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_manage_users(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_manage_users(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_manage_users(request)


@admin.register(User)
class UserAdmin(AdministratorsOnly, DjangoUserAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "roles", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "groups")
    # Three roles need no picker of two columns, whose labels a screen reader does not get.
    filter_horizontal = ()
    # Again, because unfold's empty ones would go before Django's, and a new user's page would ask for nothing.
    add_fieldsets = ((None, {"fields": ("username", "password1", "password2")}),)
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        # A role is a group; single permissions are not used, so nobody has to wonder which of the two applies.
        ("Access", {"fields": ("is_active", "is_staff", "groups", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and _is_within_reach(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_within_reach(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Keep whoever has left a trace. Django would read all of the traces, a million looks, and list each one."""
        kept = [user for user in objs if has_left_traces(user)]
        if kept:
            said = "what {} looked at, started, found or changed is on record: take the roles away, or make inactive"
            return [], {}, set(), [said.format(user.get_username()) for user in kept]
        return super().get_deleted_objects(objs, request)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="Roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or ("every role" if user.is_superuser else "none")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        # Or whoever manages users could make themselves, or anybody, more than they are.
        return (
            ("last_login", "date_joined")
            if request.user.is_superuser
            else ("last_login", "date_joined", "is_superuser")
        )


def has_left_traces(user: Any) -> bool:
    """Return whether a row of the portal says what this user did; one of Django's own log would go with the user."""
    by_field: dict[str, tuple[type[Model], ...]] = {
        "user": (AccessLogEntry, LogEntry),
        "started_by": (Job,),
        "opened_by": (Finding,),
        "changed_by": (FindingChange,),
    }
    named = ((model, field) for field, models in by_field.items() for model in models)
    return any(model._default_manager.filter(**{field: user.pk}).exists() for model, field in named)


def _is_within_reach(request: HttpRequest, user: Any) -> bool:
    """A superuser is changed by a superuser only: whoever may set a password may become its owner."""
    return user is None or not user.is_superuser or bool(request.user.is_superuser)


@admin.register(Group)
class RoleAdmin(AdministratorsOnly, DjangoGroupAdmin):
    """The roles are fixed (`chronicle.roles`): they are shown here, and given to users on the users' pages."""

    fields = ("name",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(AuthToken)
class TokenAdmin(AdministratorsOnly):
    """API tokens are stored hashed. One can be withdrawn here; its value is known only to whoever was given it."""

    list_display = ("token_key", "user", "created", "expiry")
    list_select_related = ("user",)
    fields = ("token_key", "user", "created", "expiry")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
