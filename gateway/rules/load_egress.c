#include "base/egress.h"
#include "rules/load_internal.h"
#include "rules/load_keys.h"

#include <string.h>

static void load_net(struct loader *l, const struct tree_node *item, const struct key_spec *spec, void *into)
{
    (void)spec;
    load_network(l, item, "write [0.0.0.0/0, \"::/0\"] for every address", into);
}

const struct key_spec load_egress_keys[] = {
    KEY_LIST("allow", struct egress, allow, allow_count, load_net),
    KEY_LIST("deny", struct egress, deny, deny_count, load_net),
    {.name = NULL},
};

static bool is_same_net(const struct ip_net *a, const struct ip_net *b)
{
    return a->prefix == b->prefix && memcmp(&a->addr, &b->addr, sizeof a->addr) == 0;
}

static void tell_contradictions(struct loader *l, const struct tree_node *value, const struct egress *egress)
{
    const struct tree_node *deny = yaml_tree_find(value, SLICE("deny"));
    size_t entered = load_enter(l, "deny");
    for (size_t i = 0; i < egress->deny_count; i++) {
        for (size_t j = 0; j < egress->allow_count; j++) {
            if (is_same_net(&egress->deny[i], &egress->allow[j])) {
                LOAD_FAULT(l, deny->at, "has a network that allow has too: take it out of one of them");
                load_leave(l, entered);
                return;
            }
        }
    }
    load_leave(l, entered);
}

/* A policy with faults is none: what it does not say is not held against the targets. */
void load_egress(struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    struct egress egress = {0};
    size_t errors_before = l->faults->error_count;
    load_map(l, value, spec->keys, &egress);
    if (l->faults->error_count == errors_before) {
        tell_contradictions(l, value, &egress);
    } else {
        egress = (struct egress){0};
    }
    memcpy((char *)into + spec->offset, &egress, sizeof egress);
}

void load_egress_for_all(
    struct loader *l, const struct tree_node *value, const struct key_spec *spec, void *into)
{
    (void)into;
    load_egress(l, value, spec, &l->defaults);
}

static void tell_denied(struct loader *l, const struct target_rule *target, enum egress_verdict verdict)
{
    const char *what = egress_phrase(verdict);
    char shown[YAML_TREE_SHOWN_MAX];
    yaml_tree_show(slice_from(target->text), shown);
    switch (verdict) {
    case EGRESS_ALLOWED:
        break;
    case EGRESS_NOT_IN_ALLOW:
        LOAD_FAULT(l, target->at,
            "\"%s\" is denied by egress, for it is %s: add it there, or write another target", shown, what);
        break;
    case EGRESS_IN_DENY:
        LOAD_FAULT(l, target->at,
            "\"%s\" is denied by egress, for it is %s: add it to allow, or write another target", shown,
            what);
        break;
    case EGRESS_LINK_LOCAL:
    case EGRESS_METADATA:
    case EGRESS_MULTICAST:
    case EGRESS_BROADCAST:
    case EGRESS_THIS_NETWORK:
        LOAD_FAULT(l, target->at,
            "\"%s\" is denied by egress, for it is %s: write another target, or, if this one is meant, "
            "egress: {allow: \"%s\"} %s",
            shown, what, target->address.host, l->root ? "on this route" : "in a configuration file");
        break;
    }
}

void load_egress_check(struct loader *l, const struct target_rule *target, const struct egress *egress)
{
    struct ip_addr ip;
    if (target->text && target->scheme != TARGET_UNIX && ip_parse(slice_from(target->address.host), &ip)) {
        tell_denied(l, target, egress_judge(egress, &ip));
    }
}
