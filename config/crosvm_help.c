/* SPDX-License-Identifier: Apache-2.0 */
#include "config/control_verbs.h"
#include "config/crosvm_flag_table.h"
#include "config/crosvm_flags.h"

static void help_flag(FILE *out, const Flag *flag) {
        char left[64], letter[8] = "   ";

        if (flag->letter)
                (void) snprintf(letter, sizeof(letter), "-%c,", flag->letter);
        (void) snprintf(left, sizeof(left), "%s --%s%s%s", letter, flag->name,
                        flag->metavar ? " " : "", flag->metavar ?: "");
        (void) fprintf(out, "  %-24s %s%s\n", left, flag->help,
                       flag->repeatable ? " (repeatable)" : "");
}

static void help_group(FILE *out, FlagGroup group, const char *title) {
        const Flag *flag;

        (void) fprintf(out, "\n%s:\n", title);
        for (size_t i = 0; (flag = crosvm_flag_at(i)); i++)
                if (flag->group == group)
                        help_flag(out, flag);
}

/** crosvm_flags_help() - the text of --help */
void crosvm_flags_help(FILE *out) {
        (void) fputs(
                "usage: vivarium-vmm [GLOBAL OPTIONS] run [OPTIONS] [KERNEL]\n"
                "       vivarium-vmm COMMAND [ARGUMENTS] SOCKET\n"
                "       vivarium-vmm probe\n"
                "\n"
                "run: one virtual machine, until it ends. KERNEL is a bzImage, an ELF vmlinux or "
                "a\n"
                "multiboot ELF.\n"
                "probe: print which hypervisors work on this host, and why not. version: as "
                "--version.\n"
                "\n"
                "The spelling is crosvm's; what this version cannot do is refused by name.\n"
                "A PATH may be /proc/self/fd/N for a descriptor inherited without close-on-exec.\n",
                out);
        help_group(out, GROUP_GLOBAL, "Global options");
        (void) fputs("      --version            print the version and exit\n"
                     "  -h, --help               print this text and exit\n",
                     out);
        (void) fputs("\nCommands to a VM that runs with --socket SOCKET; 1 when it refused:\n",
                     out);
        control_verbs_help(out, NULL);
        help_group(out, GROUP_BOOT, "What to boot");
        help_group(out, GROUP_MACHINE, "The machine");
        help_group(out, GROUP_CPUS, "Its processors");
        help_group(out, GROUP_BOARD, "Its board");
        help_group(out, GROUP_DEVICES, "Devices");
        help_group(out, GROUP_ACCEPTED, "Accepted so that crosvm's command lines work");
        help_group(out, GROUP_OLD, "Spellings of older versions of crosvm");
        help_group(out, GROUP_OURS, "Not in crosvm in this form");
        (void) fputs(
                "\n"
                "--serial LIST, keys (crosvm's comma list; a key alone means true):\n"
                "  type=sink|file|stdout|syslog|unix|unix-stream\n"
                "                           where output goes (default sink)\n"
                "  path=PATH                file that is appended to, or socket that is connected "
                "to\n"
                "  input=PATH               where input comes from; or stdin, for standard input; "
                "or\n"
                "                           input-unix-stream, for the socket of type=unix-stream\n"
                "  out-timestamp            each line begins with the time\n"
                "  hardware=KIND            serial (ttyS, default), virtio-console (hvc), or "
                "debugcon\n"
                "                           (port 0x402, or debugcon-port=N: output only)\n"
                "  num=N                    1 is ttyS0 or hvc0; at most 4 and 8\n"
                "  console, earlycon        make the kernel use it so\n"
                "  pci-address=00:DD.0, max-queue-sizes=[RX,TX]\n"
                "                           of a virtio-console\n"
                "\n"
                "--block LIST, keys:\n"
                "  path=PATH                raw or composite image (first key, may be left out)\n"
                "  ro, root, direct         read-only, root file system, bypass the page cache\n"
                "  dontcache                ask the host not to keep bytes in its page cache\n"
                "  multiple-workers         requests are served side by side, as always\n"
                "  sparse=BOOL, lock=BOOL   give discarded space back, lock the image (default "
                "true)\n"
                "  block-size=BYTES         logical sector, 512 (default) to 4096\n"
                "  id=TEXT                  serial number, at most 20 bytes\n"
                "  bootindex=N              firmware (--bios) tries the lowest first\n"
                "  async-executor=WHICH     as --async-executor, for this disk\n"
                "  packed-queue=BOOL        offer packed virtqueues (default false)\n"
                "\n"
                "--scsi-block LIST, keys:\n"
                "  path=PATH                as of --block (first key, may be left out)\n"
                "  ro, root, lock=BOOL, block-size=BYTES\n"
                "                           as of --block; the first disk is /dev/sda\n"
                "  id=TEXT, bootindex=N     ours: as of --block\n"
                "\n"
                "--net LIST, keys; one of tap-fd, tap-name, host-ip and user is needed:\n"
                "  tap-fd=FD                inherited TAP descriptor; a [list], one a pair, is "
                "ours\n"
                "  tap-name=NAME            TAP interface of the host, made if there is none\n"
                "  host-ip=ADDRESS          a TAP interface of the VM's own with this IPv4 "
                "address, "
                "and with\n"
                "  netmask=MASK             this mask, and mac= as its hardware address\n"
                "  mac=ADDRESS              of the card (default: made up)\n"
                "  vq-pairs=N               receive and transmit queues, 1 (default) to 16\n"
                "  mrg-rxbuf=BOOL           frames may be spread over buffers (default true)\n"
                "  packed-queue=BOOL        offer packed virtqueues (default false); not with "
                "vhost-net\n"
                "  vhost-net[=[device=PATH]]\n"
                "                           the host's kernel moves the frames of a TAP interface "
                "(default\n"
                "                           /dev/vhost-net)\n"
                "  user                     ours: no interface, sockets of the passt helper\n"
                "  forward=PROTO:[ADDRESS:]HOST:GUEST\n"
                "                           ours, with user: port of the host that leads to the "
                "guest,\n"
                "                           PROTO is tcp or udp; repeatable\n"
                "\n"
                "--mem LIST, keys; all but the first are ours:\n"
                "  size=MIB                 (first key, may be left out)\n"
                "  hugetlb=2M|1G            in pages of hugetlbfs, which the host has set aside\n"
                "  prefault                 all of it is present before the guest runs\n"
                "  host-nodes=[N,...]       on these NUMA nodes of the host\n"
                "\n"
                "--file-backed-mapping LIST, keys:\n"
                "  addr, size, offset=N     where in the guest, how much, from where in the file\n"
                "  path=PATH                the file\n"
                "  rw, sync, align          writable; opened with O_SYNC; round to whole pages\n"
                "  ram                      instead of the RAM that would be there\n"
                "\n"
                "--smbios LIST, keys:\n"
                "  bios-vendor, bios-version, manufacturer, product-name, serial-number=TEXT, "
                "uuid=UUID\n"
                "  oem-strings=[TEXT,...]   as --oem-strings\n"
                "\n"
                "--stub-pci-device LIST, keys:\n"
                "  address=BUS:DEVICE.FUNCTION  00:01.0 to 00:1f.0 (first key)\n"
                "  vendor, device, class, subsystem-vendor, subsystem-device, revision=N\n"
                "\n"
                "--vsock LIST, keys:\n"
                "  cid=N                    the guest's context id, 3 or more (first key)\n"
                "  device=PATH              vhost-vsock of the host's kernel (default "
                "/dev/vhost-vsock, without\n"
                "                           socket-dir): both sides use AF_VSOCK\n"
                "  socket-dir=PATH          port P of the host is the socket PATH/vsock_P; to "
                "reach port P of\n"
                "                           the guest, connect to PATH/vsock and send "
                "\"CONNECT P\\n\"\n"
                "                           (this key is not crosvm's)\n"
                "\n"
                "--vhost-user LIST, keys:\n"
                "  type=block|console|fs|net|rng|vsock  (first key, may be left out)\n"
                "  socket=PATH              where the process listens; /proc/self/fd/N is "
                "connected to it\n"
                "  max-queue-size=N         requests in a queue, a power of two\n"
                "\n"
                "--vhost-user-fs LIST, keys:\n"
                "  socket=PATH              where the process listens (first key, may be left "
                "out)\n"
                "  socket-fd=FD             or an inherited socket that is connected to it\n"
                "  tag=NAME                 what the guest mounts it by, at most 36 bytes\n"
                "  max-queue-size=N         as above\n"
                "\n"
                "--pmem LIST, keys:\n"
                "  path=PATH                the file (first key, may be left out)\n"
                "  ro, root                 read-only, root file system\n"
                "  vma-size=BYTES           no file but memory of the host, named PATH, and with "
                "it:\n"
                "  swap-interval-ms=N       every N ms the host pages it out; 0: never\n\n"
                "--pmem-ext2 PATH[:KEY=VALUE...], an ext2 file system with a copy of the directory "
                "PATH:\n"
                "  size=BYTES               of the file system (default 16777216)\n"
                "  blocks_per_group, inodes_per_group=N\n"
                "                           default 4096 and 1024\n"
                "  uidmap, gidmap=\"INSIDE OUTSIDE COUNT[,...]\", uid, gid=N\n"
                "                           whose the files are there; default: ours are root's\n"
                "\n"
                "--shared-dir PATH:TAG:type=fs[:KEY=VALUE...], the directory PATH, which the guest "
                "mounts as TAG:\n"
                "  cache=never|auto|always  what the guest may remember (default auto)\n"
                "  timeout=SECONDS          how long it may (default 5)\n"
                "  writeback, posix_acl=BOOL\n"
                "                           writes may wait in the guest; access control lists\n"
                "  uidmap, gidmap, uid, gid as of --pmem-ext2\n"
                "\n"
                "Exit status: 0 stopped, 1 error, 35 bad arguments; see --extended-status for the "
                "rest.\n"
                "\n"
                "Examples:\n"
                "  vivarium-vmm run --serial stdout,stdin,console -p panic=-1 -i initrd.img "
                "vmlinuz\n"
                "  vivarium-vmm --extended-status run -m 1024 -c 4 --block root.img,root vmlinuz\n",
                out);
}
