/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/gdb/registers.h"

/* The features are gdb's own (GDB manual, appendix G.5.16), but for the last one, which it shows as it is. */
#define REG(name, bits, type) "<reg name=\"" name "\" bitsize=\"" bits "\" type=\"" type "\"/>"
#define QUAD(name) REG(name, "64", "int64")
#define INT(name) REG(name, "32", "int32")
#define ST(name) REG(name, "80", "i387_ext")
#define FPU(name) "<reg name=\"" name "\" bitsize=\"32\" type=\"int\" group=\"float\"/>"
#define XMM(name) REG(name, "128", "vec128")

/** gdb_target_xml - the target description: registers in the order of registers.c */
const char gdb_target_xml[] =
        "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">"
        "<architecture>i386:x86-64</architecture>"
        "<feature name=\"org.gnu.gdb.i386.core\">"
        "<flags id=\"i386_eflags\" size=\"4\">"
        "<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>"
        "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"
        "<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"
        "<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
        "<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"
        "<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
        "<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
        "<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/>"
        "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>" QUAD("rax") QUAD("rbx") QUAD(
                "rcx") QUAD("rdx") QUAD("rsi") QUAD("rdi") REG("rbp", "64",
                                                               "data_ptr") REG("rsp", "64",
                                                                               "data_ptr") QUAD("r"
                                                                                                "8")
                QUAD("r9") QUAD("r10") QUAD("r11") QUAD("r12") QUAD("r13") QUAD("r14") QUAD(
                        "r15") REG("rip", "64",
                                   "code_ptr") REG("eflags", "32",
                                                   "i386_eflags") INT("cs") INT("ss") INT("ds")
                        INT("es") INT("fs") INT("gs") ST("st0") ST("st1") ST("st2") ST("st3") ST(
                                "st4") ST("st5") ST("st6") ST("st7") FPU("fctrl") FPU("fstat")
                                FPU("ftag") FPU("fiseg") FPU("fioff") FPU("foseg") FPU("fooff") FPU(
                                        "fop") "</feature>"
                                               "<feature name=\"org.gnu.gdb.i386.sse\">"
                                               "<vector id=\"v4f\" type=\"ieee_single\" "
                                               "count=\"4\"/>"
                                               "<vector id=\"v2d\" type=\"ieee_double\" "
                                               "count=\"2\"/>"
                                               "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
                                               "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
                                               "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
                                               "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
                                               "<union id=\"vec128\">"
                                               "<field name=\"v4_float\" type=\"v4f\"/><field "
                                               "name=\"v2_double\" type=\"v2d\"/>"
                                               "<field name=\"v16_int8\" type=\"v16i8\"/><field "
                                               "name=\"v8_int16\" type=\"v8i16\"/>"
                                               "<field name=\"v4_int32\" type=\"v4i32\"/><field "
                                               "name=\"v2_int64\" type=\"v2i64\"/>"
                                               "<field name=\"uint128\" type=\"uint128\"/></union>"
                                               "<flags id=\"i386_mxcsr\" size=\"4\">"
                                               "<field name=\"IE\" start=\"0\" end=\"0\"/><field "
                                               "name=\"DE\" start=\"1\" end=\"1\"/>"
                                               "<field name=\"ZE\" start=\"2\" end=\"2\"/><field "
                                               "name=\"OE\" start=\"3\" end=\"3\"/>"
                                               "<field name=\"UE\" start=\"4\" end=\"4\"/><field "
                                               "name=\"PE\" start=\"5\" end=\"5\"/>"
                                               "<field name=\"DAZ\" start=\"6\" end=\"6\"/><field "
                                               "name=\"IM\" start=\"7\" end=\"7\"/>"
                                               "<field name=\"DM\" start=\"8\" end=\"8\"/><field "
                                               "name=\"ZM\" start=\"9\" end=\"9\"/>"
                                               "<field name=\"OM\" start=\"10\" end=\"10\"/><field "
                                               "name=\"UM\" start=\"11\" end=\"11\"/>"
                                               "<field name=\"PM\" start=\"12\" end=\"12\"/><field "
                                               "name=\"FZ\" start=\"15\" end=\"15\"/>"
                                               "</flags>" XMM("xmm0") XMM("xmm1") XMM("xmm2") XMM(
                                                       "xmm3") XMM("xmm4") XMM("xmm5") XMM("xmm6")
                                                       XMM("xmm7") XMM("xmm8") XMM("xmm9") XMM(
                                                               "xmm10") XMM("xmm11") XMM("xmm12")
                                                               XMM("xmm13") XMM("xmm14") XMM(
                                                                       "xmm15") "<reg "
                                                                                "name=\"mxcsr\" "
                                                                                "bitsize=\"32\" "
                                                                                "type=\"i386_"
                                                                                "mxcsr\" "
                                                                                "group=\"vector\"/"
                                                                                "></"
                                                                                "feature>"
                                                                                "<feature "
                                                                                "name=\"org.gnu."
                                                                                "gdb."
                                                                                "i386."
                                                                                "segments\">" QUAD("fs_base") QUAD(
                                                                                        "gs_base") "</"
                                                                                                   "fea"
                                                                                                   "tur"
                                                                                                   "e>"
                                                                                                   "<fe"
                                                                                                   "atu"
                                                                                                   "re "
                                                                                                   "nam"
                                                                                                   "e="
                                                                                                   "\"o"
                                                                                                   "rg."
                                                                                                   "viv"
                                                                                                   "ari"
                                                                                                   "um."
                                                                                                   "sys"
                                                                                                   "tem"
                                                                                                   "\""
                                                                                                   ">" QUAD("cr0") QUAD(
                                                                                                           "cr2") QUAD("cr3")
                                                                                                           QUAD("cr4") QUAD(
                                                                                                                   "efer") "</feature></target>";
