/* base/egress: which addresses a policy lets through. */
#include "base/egress.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { NETS_MAX = 4 };

/* Networks in one text, with spaces between them. */
static size_t nets_of(const char *text, struct ip_net nets[NETS_MAX])
{
    size_t count = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        assert_true(count < NETS_MAX);
        assert_true(ip_net_parse((struct slice){text, len}, &nets[count++], NULL));
        text += len + strspn(text + len, " ");
    }
    return count;
}

static enum egress_verdict judge(const char *allow, const char *deny, const char *address)
{
    struct ip_net allowed[NETS_MAX], denied[NETS_MAX];
    struct ip_addr addr;
    struct egress policy = {.allow = allowed, .deny = denied};
    policy.allow_count = nets_of(allow, allowed);
    policy.deny_count = nets_of(deny, denied);
    assert_true(ip_parse(slice_from(address), &addr));
    return egress_judge(&policy, &addr);
}

struct row {
    const char *allow, *deny, *address;
    enum egress_verdict verdict;
};

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum egress_verdict verdict = judge(rows[i].allow, rows[i].deny, rows[i].address);
        if (verdict != rows[i].verdict) {
            fail_msg("allow \"%s\" deny \"%s\": %s is %d and not %d", rows[i].allow, rows[i].deny,
                rows[i].address, (int)verdict, (int)rows[i].verdict);
        }
    }
}

#define CHECK(rows) check((rows), sizeof(rows) / sizeof *(rows))

static void what_is_never_meant_is_denied(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "", "127.0.0.1", EGRESS_ALLOWED},
        {"", "", "::1", EGRESS_ALLOWED},
        {"", "", "10.0.0.1", EGRESS_ALLOWED},
        {"", "", "fd00::1", EGRESS_ALLOWED},
        {"", "", "192.0.2.1", EGRESS_ALLOWED},
        {"", "", "2001:db8::1", EGRESS_ALLOWED},
        {"", "", "169.253.255.255", EGRESS_ALLOWED},
        {"", "", "169.254.0.0", EGRESS_LINK_LOCAL},
        {"", "", "169.254.255.255", EGRESS_LINK_LOCAL},
        {"", "", "169.255.0.0", EGRESS_ALLOWED},
        {"", "", "fe7f:ffff::1", EGRESS_ALLOWED},
        {"", "", "fe80::1", EGRESS_LINK_LOCAL},
        {"", "", "febf:ffff::1", EGRESS_LINK_LOCAL},
        {"", "", "fec0::1", EGRESS_ALLOWED},
        {"", "", "64:ff9b::169.254.169.254", EGRESS_LINK_LOCAL},
        {"", "", "64:ff9b::10.0.0.1", EGRESS_ALLOWED},
        {"", "", "169.254.169.254", EGRESS_METADATA},
        {"", "", "::ffff:169.254.169.254", EGRESS_METADATA},
        {"", "", "fd00:ec2::254", EGRESS_METADATA},
        {"", "", "fd00:ec2::255", EGRESS_ALLOWED},
        {"", "", "fd20:ce::254", EGRESS_METADATA},
        {"", "", "100.100.100.200", EGRESS_METADATA},
        {"", "", "168.63.129.16", EGRESS_METADATA},
        {"", "", "192.0.0.192", EGRESS_METADATA},
        {"", "", "223.255.255.255", EGRESS_ALLOWED},
        {"", "", "224.0.0.1", EGRESS_MULTICAST},
        {"", "", "239.255.255.255", EGRESS_MULTICAST},
        {"", "", "ff02::1", EGRESS_MULTICAST},
        {"", "", "255.255.255.255", EGRESS_BROADCAST},
        {"", "", "0.0.0.0", EGRESS_THIS_NETWORK},
        {"", "", "0.255.255.255", EGRESS_THIS_NETWORK},
        {"", "", "1.0.0.0", EGRESS_ALLOWED},
        {"", "", "::", EGRESS_THIS_NETWORK},
        {"", "", "::ffff:0.0.0.0", EGRESS_THIS_NETWORK},
    };
    CHECK(rows);
}

static void the_longest_prefix_decides(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* Once something is allowed, nothing else is. */
        {"10.0.0.0/8", "", "10.1.2.3", EGRESS_ALLOWED},
        {"10.0.0.0/8", "", "11.0.0.0", EGRESS_NOT_IN_ALLOW},
        {"10.0.0.0/8", "", "127.0.0.1", EGRESS_NOT_IN_ALLOW},
        {"10.0.0.0/8", "", "::1", EGRESS_NOT_IN_ALLOW},
        {"10.0.0.0/8", "", "169.254.1.1", EGRESS_LINK_LOCAL},
        {"", "10.0.0.0/8", "10.1.2.3", EGRESS_IN_DENY},
        {"", "10.0.0.0/8", "11.0.0.0", EGRESS_ALLOWED},
        {"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", EGRESS_IN_DENY},
        {"10.0.0.0/8", "10.1.0.0/16", "10.2.2.3", EGRESS_ALLOWED},
        {"10.1.0.0/16", "10.0.0.0/8", "10.1.2.3", EGRESS_ALLOWED},
        {"10.1.0.0/16", "10.0.0.0/8", "10.2.2.3", EGRESS_IN_DENY},
        {"10.0.0.0/8", "10.0.0.0/8", "10.2.2.3", EGRESS_IN_DENY},
        {"10.0.0.0/8 10.1.2.0/24", "10.1.0.0/16 192.0.2.1", "10.1.2.3", EGRESS_ALLOWED},
        /* What is built in gives way to what is as narrow. */
        {"0.0.0.0/0 ::/0", "", "203.0.113.1", EGRESS_ALLOWED},
        {"0.0.0.0/0 ::/0", "", "169.254.1.1", EGRESS_LINK_LOCAL},
        {"0.0.0.0/0 ::/0", "", "fe80::1", EGRESS_LINK_LOCAL},
        {"169.254.0.0/16", "", "169.254.1.1", EGRESS_ALLOWED},
        {"169.254.0.0/16", "", "169.254.169.254", EGRESS_METADATA},
        {"169.254.169.254", "", "169.254.169.254", EGRESS_ALLOWED},
        {"169.254.169.254", "", "::ffff:169.254.169.254", EGRESS_ALLOWED},
        {"169.254.169.254", "169.254.169.254", "169.254.169.254", EGRESS_IN_DENY},
        {"fe80::/10", "", "fe80::1", EGRESS_ALLOWED},
        {"fd00:ec2::254", "", "fd00:ec2::254", EGRESS_ALLOWED},
        {"0.0.0.0/8", "", "0.0.0.0", EGRESS_ALLOWED},
        {"::", "", "::", EGRESS_ALLOWED},
        {"224.0.0.0/4 ff00::/8 255.255.255.255", "", "224.0.0.1", EGRESS_ALLOWED},
        {"224.0.0.0/4 ff00::/8 255.255.255.255", "", "ff02::1", EGRESS_ALLOWED},
        {"224.0.0.0/4 ff00::/8 255.255.255.255", "", "255.255.255.255", EGRESS_ALLOWED},
        /* Each family has its own networks. */
        {"::/0", "", "10.0.0.1", EGRESS_NOT_IN_ALLOW},
        {"::/0", "", "2001:db8::1", EGRESS_ALLOWED},
        {"0.0.0.0/0", "", "2001:db8::1", EGRESS_NOT_IN_ALLOW},
        {"", "::/0", "10.0.0.1", EGRESS_ALLOWED},
        {"", "::/0", "2001:db8::1", EGRESS_IN_DENY},
        {"", "0.0.0.0/0", "::ffff:10.0.0.1", EGRESS_IN_DENY},
        {"", "::ffff:10.0.0.0/104", "10.0.0.1", EGRESS_IN_DENY},
    };
    CHECK(rows);
}

static void every_verdict_has_its_phrase(void **state)
{
    (void)state;
    assert_string_equal(egress_phrase(EGRESS_ALLOWED), "");
    for (int verdict = EGRESS_NOT_IN_ALLOW; verdict <= EGRESS_THIS_NETWORK; verdict++) {
        assert_true(strlen(egress_phrase((enum egress_verdict)verdict)) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_never_meant_is_denied),
        cmocka_unit_test(the_longest_prefix_decides),
        cmocka_unit_test(every_verdict_has_its_phrase),
    };
    return cmocka_run_group_tests_name("egress", tests, NULL, NULL);
}
